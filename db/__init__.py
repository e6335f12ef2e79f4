"""The memory side: galleries, faces, vectors, questions and answers; knows nothing of models or the interface."""

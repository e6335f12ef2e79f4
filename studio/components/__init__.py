"""Components of our own, drawn with gr.HTML; their scripts and styles lie in static/, their markup in templates/."""

"""One frame of a clip with the head laid over it, and a slider to move through the clip."""

from __future__ import annotations

from studio.components.markup import render, source
from studio.services.expression import strongest_actions, tilt
from studio.services.mesh import turned_words
from studio.services.mesh_clip import MeshClip, shown_frame


def mesh_frame(clip: MeshClip, index: int) -> str:
    """Return the frame with the head over it, where it looks, and its strongest actions; use with FrameView."""
    frame = clip.frames[index]
    head = frame.parameters
    return render(
        "mesh_frame.html",
        clip=clip,
        index=index,
        frame=frame,
        picture=source(shown_frame(clip, index)),
        pose=tilt(head.pose) if head else "",
        warning=turned_words(head) if head else "",
        strongest=strongest_actions(head.expression, most=5) if head else [],
    )

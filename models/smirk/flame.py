"""FLAME: a head of 5,023 vertices shaped by identity, expression and the rotations of five joints.

Li et al., "Learning a model of facial shape and expression from 4D scans", SIGGRAPH Asia 2017; the skinning is SMPL's
(Loper et al., 2015). Written from the published equations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from models.smirk.encoder import Coefficients
from models.smirk.face_arrays import FaceArrays, LandmarkSet

SHAPE_COUNT, EXPRESSION_COUNT = 300, 50
NECK_JOINTS = (1, 0)
CONTOUR_LIMIT = 39
THREE_QUARTER_VIEW = (0.2, -0.7, 0.0)
ANGLE_EPSILON = 1e-8


@dataclass(frozen=True, eq=False)
class PosedFace:
    """A batch of posed heads in metres, face space."""

    vertices: torch.Tensor
    """(B, V, 3)"""
    joints: torch.Tensor
    """(B, J, 3)"""


def rotations(vectors: torch.Tensor) -> torch.Tensor:
    """Rotation matrices of axis-times-angle vectors (Rodrigues): (..., 3) -> (..., 3, 3)."""
    angle = (vectors + ANGLE_EPSILON).norm(dim=-1, keepdim=True)  # never 0, so that the axis stays finite
    x, y, z = (vectors / angle).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).unflatten(-1, (3, 3))
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    angle = angle[..., None]
    return identity + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)


def contour_rows(head: torch.Tensor, neck: torch.Tensor) -> torch.Tensor:
    """Row of the contour table for each head by its yaw in whole degrees: rows 0..39 to one side, 40..78 to the other.

    head, neck (B, 3, 3) rotations of the two joints above the face -> (B,) int64.
    """
    relative = head @ neck
    across = torch.sqrt(relative[:, 0, 0] ** 2 + relative[:, 1, 0] ** 2)
    yaw = torch.rad2deg(torch.atan2(-relative[:, 2, 0], across))
    degrees = yaw.clamp(max=CONTOUR_LIMIT).round().long()
    return torch.where(degrees >= 0, degrees, CONTOUR_LIMIT + (-degrees).clamp(max=CONTOUR_LIMIT))


def without_expression(coefficients: Coefficients) -> Coefficients:
    """The same face at rest: expression and jaw are zero, the eyelids stay."""
    return replace(
        coefficients,
        expression=torch.zeros_like(coefficients.expression),
        jaw=torch.zeros_like(coefficients.jaw),
    )


def in_three_quarter_view(coefficients: Coefficients) -> Coefficients:
    """The same face seen half from the side."""
    pose = coefficients.pose.new_tensor(THREE_QUARTER_VIEW).expand_as(coefficients.pose)
    return replace(coefficients, pose=pose)


class FlameLayer(nn.Module):
    """Coefficients to vertices and landmarks; every constant is a buffer, nothing is learned."""

    def __init__(self, arrays: FaceArrays, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.parents = tuple(int(parent) for parent in arrays.parents)
        floats = {
            "template": arrays.template,  # (V, 3)
            "shape_basis": arrays.shape_basis[:, :, :SHAPE_COUNT].reshape(-1, SHAPE_COUNT),  # (3 V, 300)
            "expression_basis": arrays.expression_basis[:, :, :EXPRESSION_COUNT].reshape(-1, EXPRESSION_COUNT),
            "pose_basis": arrays.pose_basis.reshape(-1, arrays.pose_basis.shape[2]).T,  # (36, 3 V)
            "joint_regressor": arrays.joint_regressor,  # (J, V)
            "skinning": arrays.skinning,  # (V, J)
            "eyelids": arrays.eyelids.reshape(2, -1),  # (2, 3 V) left, right
        }
        for name, array in floats.items():
            self.register_buffer(name, torch.as_tensor(array, dtype=dtype).contiguous())
        self.register_buffer("triangles", torch.as_tensor(arrays.triangles, dtype=torch.int64))
        for name, landmarks in arrays.landmarks.items():
            self._register_landmarks(name, landmarks, dtype=dtype)

    def _register_landmarks(self, name: str, landmarks: LandmarkSet, *, dtype: torch.dtype) -> None:
        self.register_buffer(f"{name}_triangles", torch.as_tensor(landmarks.triangles, dtype=torch.int64))
        self.register_buffer(f"{name}_weights", torch.as_tensor(landmarks.weights, dtype=dtype))

    def forward(
        self, coefficients: Coefficients, *, neck: torch.Tensor | None = None, eyes: torch.Tensor | None = None
    ) -> PosedFace:
        """Pose a batch of heads; fewer shape or expression coefficients than the basis has count as zeros.

        neck (B, 3) and eyes (B, 6) are axis-times-angle rotations, zero when not given. The lids are moved after the
        skinning, in the directions of the unrotated head, as SMIRK was trained.
        """
        shaped = self.shaped(coefficients.shape, coefficients.expression)  # (B, V, 3)
        rotation = self.joint_rotations(coefficients, neck=neck, eyes=eyes)  # (B, J, 3, 3)
        identity = torch.eye(3, dtype=rotation.dtype, device=rotation.device)
        feature = (rotation[:, 1:] - identity).flatten(1)  # (B, 36)
        posed = shaped + (feature @ self.pose_basis).view_as(shaped)
        vertices, joints = self._skin(posed, rotation, rest_joints=self.joint_regressor @ shaped)
        lids = (coefficients.eyelids @ self.eyelids).view_as(vertices)
        return PosedFace(vertices + lids, joints)

    def shaped(self, shape: torch.Tensor, expression: torch.Tensor) -> torch.Tensor:
        """Unposed heads: (B, up to 300), (B, up to 50) -> (B, V, 3)."""
        offsets = shape @ self.shape_basis[:, : shape.shape[1]].T
        offsets = offsets + expression @ self.expression_basis[:, : expression.shape[1]].T  # (B, 3 V)
        return self.template + offsets.unflatten(1, (-1, 3))

    def joint_rotations(
        self, coefficients: Coefficients, *, neck: torch.Tensor | None = None, eyes: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Rotations of root, neck, jaw and the two eyes: (B, 5, 3, 3)."""
        pose = coefficients.pose
        neck = torch.zeros_like(pose) if neck is None else neck
        eyes = pose.new_zeros(pose.shape[0], 6) if eyes is None else eyes
        return rotations(torch.cat((pose, neck, coefficients.jaw, eyes), dim=1).unflatten(1, (-1, 3)))

    def _skin(
        self, posed: torch.Tensor, rotation: torch.Tensor, *, rest_joints: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Linear blend skinning: (B, V, 3), (B, J, 3, 3), (B, J, 3) -> vertices (B, V, 3) and joints (B, J, 3)."""
        turned, placed = [rotation[:, 0]], [rest_joints[:, 0]]
        for joint, parent in enumerate(self.parents[1:], start=1):
            turned.append(turned[parent] @ rotation[:, joint])
            bone = (rest_joints[:, joint] - rest_joints[:, parent])[..., None]
            placed.append((turned[parent] @ bone)[..., 0] + placed[parent])
        turn, joints = torch.stack(turned, dim=1), torch.stack(placed, dim=1)  # (B, J, 3, 3), (B, J, 3)
        shift = joints - (turn @ rest_joints[..., None])[..., 0]
        vertex_turn = (self.skinning @ turn.flatten(2)).unflatten(2, (3, 3))  # (B, V, 3, 3)
        vertex_shift = self.skinning @ shift  # (B, V, 3)
        return (vertex_turn @ posed[..., None])[..., 0] + vertex_shift, joints

    def points_on(self, vertices: torch.Tensor, *, name: str) -> torch.Tensor:
        """Points of a landmark set on posed vertices: (B, V, 3) -> (B, N, 3).

        "full" has 68 points, "mediapipe" 105, "static" the 51 inner ones. Raises AttributeError for a set that the
        face model was built without.
        """
        return self._interpolate(vertices, getattr(self, f"{name}_triangles"), getattr(self, f"{name}_weights"))

    def contour_and_inner_points(self, vertices: torch.Tensor, *, rows: torch.Tensor) -> torch.Tensor:
        """68 points whose 17 contour points follow the visible outline: (B, V, 3), (B,) -> (B, 68, 3)."""
        batch = vertices.shape[0]
        inner, inner_weights = self.static_triangles.expand(batch, -1), self.static_weights.expand(batch, -1, -1)
        triangles = torch.cat((self.dynamic_triangles[rows], inner), dim=1)  # (B, 68)
        weights = torch.cat((self.dynamic_weights[rows], inner_weights), dim=1)  # (B, 68, 3)
        corners = self.triangles[triangles].flatten(1)[..., None].expand(-1, -1, 3)  # (B, 204, 3)
        return (vertices.gather(1, corners).unflatten(1, (-1, 3)) * weights[..., None]).sum(2)

    def _interpolate(self, vertices: torch.Tensor, triangles: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return (vertices[:, self.triangles[triangles]] * weights[..., None]).sum(2)

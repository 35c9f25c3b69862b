"""What ``medsam-segment segment`` found, as JSON and as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from MedSAMSegmentLib import __version__
from MedSAMSegmentLib.geometry.volume import MaskBlock
from MedSAMSegmentLib.models.description import ModelIdentity
from MedSAMSegmentLib.propagation.results import Structure
from MedSAMSegmentSlicer.command_line.console import shown

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class RoiReport:
    """One ROI's segment.

    Attributes:
        segment_id: in the segmentation.
        name: of the segment.
        structure: what was found.
        held: what the segment holds in the file, on the segmentation's own grid; None if nothing. Less than was found
            where masking forbids some, or where a later ROI's segment took its place.
        seconds: per stage.
    """

    segment_id: str
    name: str
    structure: Structure
    held: MaskBlock | None
    seconds: dict[str, float]

    @property
    def voxels(self) -> int:
        return 0 if self.held is None else self.held.voxel_count

    @property
    def volume_mm3(self) -> float:
        return 0.0 if self.held is None else self.held.volume_mm3


@dataclass(frozen=True)
class JobReport:
    """A whole run."""

    rois: tuple[RoiReport, ...]
    identity: ModelIdentity
    device: str
    precision: str
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {
            "rois": [_roi_json(roi) for roi in self.rois],
            "model": {
                "id": self.identity.model_id,
                "revision": self.identity.revision,
                "weights_sha256": self.identity.weights_sha256,
                "device": self.device,
                "precision": self.precision,
            },
            "seconds": {
                "load_model": round(self.rois[0].seconds["load_model"], 4),
                **{
                    stage: round(sum(roi.seconds[stage] for roi in self.rois), 4)
                    for stage in ("encode", "decode", "write")
                },
                "total": round(self.seconds, 4),
            },
            "software": f"MedSAMSegment {__version__}",
        }

    def table(self) -> Table:
        """What a person reads."""
        from rich.table import Column, Table
        from rich.text import Text

        table = Table(Column("Segment", overflow="fold"), "mL", "slices", "to look at", "confidence")
        for roi in self.rois:
            structure = roi.structure
            table.add_row(
                Text(shown(roi.name)),
                f"{roi.volume_mm3 / 1000:.2f}",
                str(len(structure.slices)),
                str(len(structure.doubtful_slices)),
                f"{structure.confidence:.2f}",
            )
        return table


def _roi_json(roi: RoiReport) -> dict[str, Any]:
    structure = roi.structure
    window = structure.window
    return {
        "segment_id": roi.segment_id,
        "name": roi.name,
        "voxels": roi.voxels,
        "volume_mm3": round(roi.volume_mm3, 3),
        "predicted_iou": {
            "mean": round(structure.predicted_iou, 4),
            "per_slice": [round(result.predicted_iou, 4) for result in structure.slices],
        },
        "slices": [round(result.position_mm, 3) for result in structure.slices],
        "confidence": {
            "mean": round(structure.confidence, 4),
            "per_slice": [round(result.confidence, 4) for result in structure.slices],
        },
        "doubtful_slices": [round(result.position_mm, 3) for result in structure.doubtful_slices],
        "touches_roi_border": structure.touches_roi_border,
        "plane": structure.orientation,
        "level": structure.level,
        "window": None if window is None else {"rule": window.rule, "level": window.level, "width": window.width},
        "seconds": {stage: round(value, 4) for stage, value in roi.seconds.items()},
    }

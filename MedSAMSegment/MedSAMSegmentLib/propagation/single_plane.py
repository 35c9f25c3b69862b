"""What an ROI surrounds on one plane, however it lies."""

from __future__ import annotations

import time

from MedSAMSegmentLib.errors import InvalidPromptError
from MedSAMSegmentLib.geometry.cross_section_mask import kept_in_turned_roi
from MedSAMSegmentLib.geometry.oriented_box import OrientedBox
from MedSAMSegmentLib.geometry.plane_mask import block_from_plane_mask
from MedSAMSegmentLib.geometry.slice_plane import SlicePlane
from MedSAMSegmentLib.geometry.volume import Volume
from MedSAMSegmentLib.inference.embedding_cache import EmbeddingCache
from MedSAMSegmentLib.inference.mask_options import MaskOptions
from MedSAMSegmentLib.inference.segmenter import Segmenter
from MedSAMSegmentLib.inference.slice_image import see
from MedSAMSegmentLib.intensity.rules import choose_window
from MedSAMSegmentLib.models.protocol import Prompt, SegmentationModel
from MedSAMSegmentLib.propagation.results import SliceResult, Structure


def segment_on_plane(
    volume: Volume,
    roi: OrientedBox,
    plane: SlicePlane,
    model: SegmentationModel,
    *,
    window_rule: str = "auto",
    mask_options: MaskOptions | None = None,
    cache: EmbeddingCache | None = None,
) -> Structure:
    """Segment on a single plane; the voxels are those that the plane passes through.

    Args:
        volume: not changed.
        roi: the bounding rectangle of its cross-section with the plane is the prompt; see `kept_in_turned_roi`.
        plane: see `plane_through`.
        model: answers.
        window_rule: see `choose_window`.
        mask_options: threshold and clean-up, on the plane.
        cache: embeddings that are kept.

    Raises:
        InvalidPromptError: the plane misses the ROI, or the ROI lies outside the volume.
        InvalidOptionError: no such window rule.
    """
    box = roi.box_on(plane)
    if box is None:
        raise InvalidPromptError(
            "The plane does not cut the ROI inside the image: it passes the ROI's middle at "
            f"{abs(float((roi.center_ras - plane.center_ras) @ plane.normal_ras)):.1f} mm. Move one of them."
        )
    window = None if volume.is_rgb else choose_window(window_rule, volume, roi)
    segmenter = Segmenter(model, cache)
    start = time.perf_counter()
    image = see(volume, plane, window)
    segmenter.encode([image])
    encoded = time.perf_counter()
    (prediction,) = segmenter.predict(image, [Prompt(box=box)])
    answer = segmenter.mask(prediction, mask_options or MaskOptions())
    block = block_from_plane_mask(kept_in_turned_roi(answer.mask_hw, roi, plane), plane, volume.geometry)
    result = SliceResult(plane.offset_mm, plane, box, answer.predicted_iou, 0 if block is None else block.voxel_count)
    return Structure(
        block=block,
        slices=(result,),
        orientation="oblique",
        window=window,
        level="fast",
        encode_seconds=encoded - start,
        decode_seconds=time.perf_counter() - encoded,
        roi=roi,
    )

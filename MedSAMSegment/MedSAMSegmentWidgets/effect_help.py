"""What the Segment Editor shows when the user asks how the effect is used."""

from __future__ import annotations

from slicer.i18n import tr as _

from MedSAMSegmentWidgets.shortcuts import SHORTCUTS


def help_text() -> str:
    """HTML."""
    actions = {
        "apply": _("segment the ROI"),
        "revert": _("put the ROI back and drop the preview"),
        "new_roi": _("place a new ROI"),
        "live_preview": _("live preview on or off"),
    }
    keys = "".join(f"<li><b>{key}:</b> {actions[action]}" for action, key in SHORTCUTS.items())
    return _(
        "<html>Draw a box in a slice view: what is in it goes into the segment.<br>"
        "<p><ul style='margin: 0'>"
        "<li><b>Drag with the left button in a slice view:</b> draw a box; its content goes into the selected segment."
        "<li><b>Rest the pointer on a handle of the box, then drag it:</b> correct the box; the result follows."
        "<li><b>Escape while dragging:</b> forget the box."
        "<li><b>ROI:</b> choose or place one for several slices or a whole structure, then click Apply. A line along a "
        "lesion's longest diameter, a plane or a closed curve will do as well: the arrow beside New ROI places them."
        "<li><b>Several ROIs:</b> each one that is checked becomes a segment with its name and colour."
        "<li><b>From the selected segment:</b> place an ROI around it, or grow it to the slices next to it."
        "<li><b>Undo</b> takes back the last box, Apply or growth as a whole."
        "</ul><p>Keys while the effect is active:<ul style='margin: 0'>{keys}</ul>"
        "<p>Not a medical device: check every result.</html>"
    ).format(keys=keys)

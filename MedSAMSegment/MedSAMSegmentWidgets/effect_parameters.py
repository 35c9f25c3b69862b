"""Between the effect's options and its parameters in MRML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import qt

from MedSAMSegmentSlicer.effect_settings import DEFAULTS
from MedSAMSegmentSlicer.roi_selection import choose_rois, chosen_rois
from MedSAMSegmentWidgets.application_settings import default_choice

if TYPE_CHECKING:
    from MedSAMSegmentWidgets.effect_panel import EffectPanel

ROI_ROLE = "MedSAM.ROIs"
"""Node reference role, in the Segment Editor's parameter node, of the ROIs that are checked."""


def set_defaults(scripted_effect: Any) -> None:
    """Give every parameter that has none its default; model, device and precision are the application's."""
    choice = default_choice()
    defaults = DEFAULTS | {"Model": choice.model, "Device": choice.device, "Precision": choice.precision}
    for name, value in defaults.items():
        scripted_effect.setParameterDefault(name, value)


def show_parameters(scripted_effect: Any, panel: EffectPanel) -> None:
    """Make the panel say what is stored."""
    parameters = scripted_effect.parameterSetNode()
    if parameters is None:
        return
    stored: dict[str, Any] = {}
    for name, default in DEFAULTS.items():
        text = scripted_effect.parameter(name) if scripted_effect.parameterDefined(name) else ""
        stored[name] = _as_type_of(default, text)
    panel.show(stored)
    _quietly_select(panel.roi, scripted_effect.nodeReference("ROI"))
    checked = chosen_rois(parameters, ROI_ROLE)
    was_blocked = panel.more_rois.blockSignals(True)
    try:
        for node in list(panel.more_rois.checkedNodes()):
            if node not in checked:
                panel.more_rois.setCheckState(node, qt.Qt.Unchecked)
        for node in checked:
            panel.more_rois.setCheckState(node, qt.Qt.Checked)
    finally:
        panel.more_rois.blockSignals(was_blocked)


def store_parameters(scripted_effect: Any, panel: EffectPanel) -> None:
    """Store what the panel says; one change for all who observe the parameter node."""
    parameters = scripted_effect.parameterSetNode()
    if parameters is None:
        return
    was_modifying = parameters.StartModify()
    try:
        for name, value in panel.values().items():
            scripted_effect.setParameter(name, value)
    finally:
        parameters.EndModify(was_modifying)


def store_checked_rois(scripted_effect: Any, panel: EffectPanel) -> None:
    """Store which ROIs are checked."""
    parameters = scripted_effect.parameterSetNode()
    if parameters is not None:
        choose_rois(parameters, ROI_ROLE, list(panel.more_rois.checkedNodes()))


def _as_type_of(default: str | int | float, text: str) -> str | int | float:
    try:
        return type(default)(text) if text else default
    except ValueError:
        return default


def _quietly_select(combo: Any, node: Any) -> None:
    if combo.currentNode() is node:
        return
    was_blocked = combo.blockSignals(True)
    try:
        combo.setCurrentNode(node)
    finally:
        combo.blockSignals(was_blocked)

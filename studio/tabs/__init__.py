"""The tabs, in the order they are shown; each module has TITLE and `build(context) -> Doors`."""

from types import ModuleType

import studio.tabs.about as about
import studio.tabs.compare as compare
import studio.tabs.explore as explore
import studio.tabs.expression as expression
import studio.tabs.mesh as mesh
import studio.tabs.occlusion as occlusion
import studio.tabs.reenact as reenact
import studio.tabs.team as team

TABS: tuple[ModuleType, ...] = (expression, explore, compare, occlusion, mesh, reenact, team, about)

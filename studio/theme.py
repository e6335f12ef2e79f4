"""Mien's Gradio theme: a quiet frame, the faces carry the colour."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.themes.utils import colors, sizes

from studio.palette import DARK, LIGHT, MONO_FONT, SYSTEM_FONT


def _ramp(name: str, light: str, dark: str) -> colors.Color:
    """A ramp of two tones; every visible colour is set by hand below, Gradio only asks for all eleven."""
    return colors.Color(light, light, light, light, light, dark, dark, dark, dark, dark, dark, name=name)


def _both(**names: str) -> dict[str, Any]:
    """Expand `token="panel"` to the theme's light and dark settings of that palette colour."""
    plain = {token: getattr(LIGHT, name) for token, name in names.items()}
    dark = {f"{token}_dark": getattr(DARK, name) for token, name in names.items()}
    return plain | dark


class MienTheme(gr.themes.Base):
    """Sizes 13, 15, 18, 24; radius 10; one soft shadow; no fonts from elsewhere."""

    def __init__(self) -> None:
        text = sizes.Size("13px", "13px", "13px", "15px", "18px", "24px", "24px", name="mien_text")
        grid = sizes.Size("2px", "4px", "8px", "8px", "16px", "24px", "32px", name="mien_grid")
        radius = sizes.Size("4px", "6px", "8px", "10px", "10px", "10px", "10px", name="mien_radius")
        super().__init__(
            primary_hue=_ramp("mien_accent", LIGHT.accent, DARK.accent),
            secondary_hue=_ramp("mien_accent", LIGHT.accent, DARK.accent),
            neutral_hue=_ramp("mien_neutral", LIGHT.line, DARK.line),
            text_size=text,
            spacing_size=grid,
            radius_size=radius,
            font=SYSTEM_FONT,
            font_mono=MONO_FONT,
        )
        self.name = "mien"
        self._surfaces()
        self._controls()

    def _surfaces(self) -> None:
        self.set(
            **_both(
                body_background_fill="ground",
                body_text_color="ink",
                body_text_color_subdued="quiet",
                background_fill_primary="panel",
                background_fill_secondary="ground",
                border_color_primary="line",
                border_color_accent="accent",
                block_background_fill="panel",
                block_border_color="line",
                block_label_background_fill="panel",
                block_label_text_color="quiet",
                block_title_text_color="ink",
                block_info_text_color="quiet",
                panel_background_fill="panel",
                link_text_color="accent",
                link_text_color_hover="accent",
                link_text_color_visited="accent",
                link_text_color_active="accent",
                table_text_color="ink",
                table_border_color="line",
                table_even_background_fill="panel",
                table_odd_background_fill="panel",
                loader_color="accent",
                color_accent_soft="wash",
                accordion_text_color="ink",
            ),
            color_accent=LIGHT.accent,
            block_shadow="none",
            block_border_width="1px",
            block_padding="16px",
            layout_gap="16px",
            section_header_text_weight="600",
            body_text_size="*text_md",
        )

    def _controls(self) -> None:
        self.set(
            **_both(
                button_primary_background_fill="accent",
                button_primary_background_fill_hover="accent",
                button_primary_border_color="accent",
                button_primary_text_color="on_accent",
                button_primary_text_color_hover="on_accent",
                button_secondary_background_fill="panel",
                button_secondary_background_fill_hover="wash",
                button_secondary_border_color="line",
                button_secondary_text_color="ink",
                button_secondary_text_color_hover="ink",
                button_cancel_background_fill="panel",
                button_cancel_background_fill_hover="wash",
                button_cancel_border_color="line",
                button_cancel_text_color="ink",
                button_cancel_text_color_hover="ink",
                input_background_fill="panel",
                input_background_fill_focus="panel",
                input_border_color="line",
                input_border_color_focus="accent",
                input_placeholder_color="quiet",
                checkbox_background_color="panel",
                checkbox_background_color_selected="accent",
                checkbox_border_color="quiet",
                checkbox_border_color_selected="accent",
                checkbox_label_background_fill="panel",
                checkbox_label_background_fill_hover="wash",
                checkbox_label_background_fill_selected="wash",
                checkbox_label_border_color="line",
                checkbox_label_text_color="ink",
                checkbox_label_text_color_selected="ink",
                slider_color="accent",
            ),
            button_border_width="1px",
            button_large_text_weight="500",
            button_medium_text_weight="500",
            button_small_text_weight="500",
            button_large_text_size="15px",
            button_large_padding="10px 16px",
            button_transition="background-color 120ms ease",
            checkbox_border_radius="4px",
            input_border_width="1px",
            input_text_size="*text_md",
        )

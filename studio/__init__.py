"""The page, its services and its commands."""

from studio.component_stubs import write_none

write_none()

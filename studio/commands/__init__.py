"""The subcommands of `mien`: thin, one file each; heavy libraries are imported inside, where they are needed."""

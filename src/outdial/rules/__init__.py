"""The rule packs that Outdial ships, one TOML file per part of the world, and their loader."""

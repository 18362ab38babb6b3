"""What every part of the package uses: errors, files, options, registries, random draws, provenance."""

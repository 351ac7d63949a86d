# make images: the container images, built, tried, listed and pushed to a registry of this machine (docs/images.md).
# Included by the Makefile after install.mk. Their tools are Debian packages, installed where this user may.
SBOM_TOOLS  := $(VENV)/sbom
SBOM_STAMP  := $(SBOM_TOOLS)/.installed-$(shell sha256sum images/sbom.lock 2>/dev/null | cut -c1-16)

.PHONY: images image-programs test-images clean-images lock-sbom
images: install image-programs $(SBOM_STAMP) ## build, try and push the container images; BASE=IMAGE@sha256:... builds on that one
	@$(BIN)/python -m images $(if $(BASE),--base $(BASE))

test-images: images ## the images' lane: built, pushed, started by digest, asked
	@$(BIN)/pytest -n 0 -m images tests/images

clean-images: install ## remove what `make images` made
	@$(BIN)/python -m images --remove

image-programs: install
	@$(BIN)/python -m images.programs --install

$(SBOM_STAMP): images/sbom.lock $(STAMP)
	@$(UV) venv --clear --python $(BIN)/python $(SBOM_TOOLS)
	@$(BIN)/python -m images.index > $(SBOM_TOOLS)/index.txt && $(UV) pip install --python $(SBOM_TOOLS)/bin/python --require-hashes \
	  --requirements $(SBOM_TOOLS)/index.txt --requirements images/sbom.lock && rm $(SBOM_TOOLS)/index.txt && touch $@

lock-sbom: install
	@$(UV) pip compile images/sbom.in --python-version 3.11 --generate-hashes --no-header --output-file images/sbom.lock

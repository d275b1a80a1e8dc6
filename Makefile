# runespoor: stream video from the edge, analyse it on a server, answer every frame.
#
#   make demo    both daemons on real video, on this machine
#   make test    all tests
#   make help    every target
#
# Parts are in mk/. Everything generated goes to $(B) (default build/).

B ?= build
TEST_DATA ?= ../shared/data

include mk/flags.mk
include mk/packages.mk
include mk/build.mk
include mk/lab.mk
include mk/cuda.mk
include mk/gpu.mk
include mk/sim.mk
include mk/test.mk
include mk/faults.mk
include mk/lint.mk
include mk/sanitize.mk
include mk/demo.mk
include mk/docs.mk
include mk/conformance.mk
include mk/bench.mk
include mk/train.mk
include mk/restore.mk
include mk/tail.mk
include mk/install.mk

.PHONY: help clean
help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

clean: ## remove everything built (not the downloaded sample video)
	rm -rf $(B)/obj $(B)/bin $(B)/lib $(B)/gen $(B)/test $(B)/asan $(B)/ubsan $(B)/tsan $(B)/fuzz $(B)/arm

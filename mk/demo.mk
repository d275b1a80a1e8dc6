# The demo: both daemons on this machine, on real video.

.PHONY: demo sample-video
demo: deps-build ## stream the sample video through both daemons, with a live table
	@$(MAKE) --no-print-directory all
	@B=$(B) mk/demo.sh

sample-video: ## fetch the sample video to build/demo/vtest.avi
	@B=$(B) mk/sample-video.sh

# The demos: both daemons on this machine, on real video.

PACKAGES_DEMO_RESTORE = ffmpeg

.PHONY: demo demo-restore sample-video
demo: deps-build ## stream the sample video through both daemons, with a live table
	@$(MAKE) --no-print-directory all
	@B=$(B) mk/demo.sh

# make demo-restore CLIP=street.mp4 RUNG=320x180 KBPS=60
demo-restore: deps-build ## stream a clip without and with restoration: an MP4 of both, a plot of the tail
	@mk/deps.sh $(PACKAGES_DEMO_RESTORE)
	@$(MAKE) --no-print-directory all $(B)/test/demo/restore_pair
	@B=$(B) CLIP='$(CLIP)' RUNG='$(RUNG)' KBPS='$(KBPS)' NETWORKS='$(NETWORKS)' mk/demo-restore.sh

$(B)/obj/tests/demo/%.o: CPPFLAGS += -Icloud-server

$(B)/test/demo/restore_pair: $(patsubst %,$(B)/obj/tests/demo/%.o,restore_pair answers_file pair_picture) \
		$(call archives,cloud-server)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

sample-video: ## fetch the sample video to build/demo/vtest.avi
	@B=$(B) mk/sample-video.sh

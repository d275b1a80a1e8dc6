# What restoration saves and brings back, with the networks that are shipped; and the same with networks that
# have not seen what they are measured on.

PACKAGES_RESTORE = ffmpeg python3

$(B)/obj/tests/bench/restore_cost.o: CPPFLAGS += -Icloud-server
$(B)/test/bench/restore_cost: $(B)/obj/tests/bench/restore_cost.o $(call archives,cloud-server)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/test/bench/restore_stream: $(B)/obj/tests/bench/restore_stream.o \
		$(B)/obj/tests/pipeline/harness.o $(call archives,cloud-server)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -ljson-c -lcmocka

.PHONY: restore-models
restore-models: deps-build ## folders of third-party models, to train restoration for them: build/models
	@$(MAKE) --no-print-directory all
	@B=$(B) TEST_DATA=$(TEST_DATA) tests/bench/restore_models.sh

.PHONY: bench-restore
bench-restore: deps-test ## what restoration saves in bits and brings back in accuracy, on the CamVid video
	@mk/deps.sh $(PACKAGES_RESTORE)
	@$(MAKE) --no-print-directory all $(B)/test/bench/restore_cost $(B)/test/bench/restore_stream
	@B=$(B) TEST_DATA=$(TEST_DATA) tests/bench/restore.sh

.PHONY: bench-restore-folds
bench-restore-folds: deps-test ## hours: the same on CamVid's sequences, by networks that have not seen them
	@mk/deps.sh $(PACKAGES_RESTORE)
	@$(MAKE) --no-print-directory all
	@B=$(B) TEST_DATA=$(TEST_DATA) STEPS=$(STEPS) tests/bench/restore_folds.sh

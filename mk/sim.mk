# Both daemons in one process, in a simulated world (tests/sim/sim.h). Each side is linked by itself first,
# and only its side_ names stay visible: so that both may have a function of one name. A stand-in comes
# before the archive that has the real one, and what comes first holds (muldefs: other parts of its object
# may be needed). Functions that are wrapped are watched, and called.

SIM = $(B)/test/sim/sim
SIM_TESTS = $(B)/test/sim/sim_test
SIM_HISTORIES ?= 10000

SIM_OBJECTS = $(patsubst %,$(B)/obj/tests/sim/%.o,run fiber thread loop disk database net media memory \
	history hour)

SIM_MESSAGES = zmq_msg_init_size zmq_msg_init_data
SIM_WRAPS = clock_nanosleep write fdatasync fsync ftruncate rename random_entropy \
	metrics_create metrics_destroy malloc calloc realloc strdup \
	$(addprefix pthread_,mutex_lock mutex_unlock cond_wait cond_timedwait cond_signal cond_broadcast \
	create join timedjoin_np)
SIM_LINK = -Wl,-z,muldefs
sim_wraps = $(patsubst %,-Wl$(comma)--wrap=%,$(1))
comma = ,

$(B)/obj/tests/sim/agent_side.o: CPPFLAGS += -Iedge-agent
$(B)/obj/tests/sim/server_side.o $(B)/obj/tests/sim/pool.o: CPPFLAGS += -Icloud-server

$(B)/obj/tests/sim/edge-agent.o: $(B)/obj/tests/sim/agent_side.o $(B)/lib/edge-agent.a
	@$(CC) -r -nostdlib $(call sim_wraps,$(SIM_MESSAGES) credit_init credit_finish sink_add_answer \
		$(addprefix spool_db_,find_stream put answer commit settle roll_back)) -o $@ $^
	@objcopy --wildcard --keep-global-symbol='agent_side_*' $@

$(B)/obj/tests/sim/cloud-server.o: $(B)/obj/tests/sim/server_side.o $(B)/obj/tests/sim/pool.o $(B)/lib/cloud-server.a
	@$(CC) -r -nostdlib $(SIM_LINK) $(call sim_wraps,$(SIM_MESSAGES) session_receive gate_send gate_on_session_closed) -o $@ $^
	@objcopy --wildcard --keep-global-symbol='server_side_*' --keep-global-symbol='pool_faults' $@

$(SIM) $(SIM_TESTS): $(B)/test/sim/%: $(B)/obj/tests/sim/%.o $(SIM_OBJECTS) \
		$(B)/obj/tests/sim/edge-agent.o $(B)/obj/tests/sim/cloud-server.o \
		$(patsubst %,$(B)/lib/%.a,net media kernels config base)
	@mkdir -p $(@D)
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) $(SIM_LINK) $(call sim_wraps,$(SIM_WRAPS)) -o $@ $^ $(LDLIBS) -ldl -lcmocka

.PHONY: sim
sim: $(SIM) ## 10,000 seeded histories of faults over both daemons, and every allocation and write failing
	@$(SIM) --histories $(SIM_HISTORIES)
	@$(SIM) --allocations
	@$(SIM) --writes
	@$(SIM) --spool-allocations
	@$(SIM) --spool-writes
	@$(SIM) --spool-disks

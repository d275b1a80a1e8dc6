# Faults from outside: the peers that tests/faults has for them (a camera, a proxy that misbehaves).

# Looked up only where the camera is built.
GST_CFLAGS = $(eval GST_CFLAGS := $(subst -I,-isystem ,$(shell pkg-config --cflags gstreamer-rtsp-server-1.0)))$(GST_CFLAGS)
GST_LIBS = $(eval GST_LIBS := $(shell pkg-config --libs gstreamer-rtsp-server-1.0 gio-2.0))$(GST_LIBS)

$(B)/obj/tests/faults/rtsp_server.o: private OWN_CFLAGS += $(GST_CFLAGS)
$(B)/test/faults/rtsp_server: $(B)/obj/tests/faults/rtsp_server.o
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(GST_LIBS)

$(B)/test/faults/bad_proxy: $(B)/obj/tests/faults/bad_proxy.o
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

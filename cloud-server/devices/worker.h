/* worker: the child process that owns one device. `cloud-server worker --fd N`, not for people. */
#ifndef RUNESPOOR_DEVICES_WORKER_H
#define RUNESPOOR_DEVICES_WORKER_H

/* Serves orders from descriptor fd until it closes. Gives the exit status. */
int worker_main(int fd);

#endif

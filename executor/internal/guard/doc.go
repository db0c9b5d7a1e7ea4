// Package guard is a small process between an executor and one program.
//
// It exists for the moment when the executor dies without a chance to clean up
// (SIGKILL, out of memory): the guard then finds its control pipe closed and ends
// the program with everything that it has started. It is also the parent that
// orphans fall to, so that daemons which left the program's process group end
// with it, and no zombies are left. Should the guard itself be killed, the kernel
// kills the program (on Linux; elsewhere it survives), and the executor, to which
// its orphans then fall, kills these.
//
// The guard is the executor's own binary, started again with Variable set: the
// init of this package takes over before main runs. Its import path and its few
// imports have it come before most other packages are initialised, which keeps
// the process small; so it must not import more without need. It reads one Spec
// from its control pipe, then Commands until the pipe is closed; on its report
// pipe it writes one Report when the program was started, or was not, and one when
// nothing of it is left. All of them are JSON.
package guard

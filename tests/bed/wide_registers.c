/* SPDX-License-Identifier: MIT
 *
 * Preloaded into linux.uml if the processor has AMX, so that it can set its processes' registers.
 *
 * User-mode Linux 6.1, Debian 12's, keeps 2696 bytes of a process's vector registers: all up to
 * AVX-512. With AMX there are 11008 bytes, and the host accepts only all of them (else EFAULT), so
 * that nothing would run: "userspace - ptrace set fp regs failed, errno = 14". This library adds the
 * missing bytes as the process has them.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

typedef long ptrace_function(enum __ptrace_request, pid_t, void *, void *);

/* Not on the stack: linux.uml's are small. It calls from one thread at a time. */
static char registers[1 << 16];

long ptrace(enum __ptrace_request request, ...)
{
    static ptrace_function *real;
    if (!real)
        real = (ptrace_function *)dlsym(RTLD_NEXT, "ptrace");

    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);

    if (request != PTRACE_SETREGSET || (uintptr_t)address != NT_X86_XSTATE)
        return real(request, pid, address, data);
    const struct iovec *part = data;
    struct iovec whole = {registers, sizeof registers};
    long failed = real(PTRACE_GETREGSET, pid, address, &whole);
    if (failed)
        return failed;
    if (part->iov_len >= whole.iov_len)
        return real(request, pid, address, data);
    memcpy(registers, part->iov_base, part->iov_len);
    return real(request, pid, address, &whole);
}

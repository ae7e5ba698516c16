# SPDX-License-Identifier: MIT
"""Events that trigger an early poll: pluto's log, its socket, its unit, the end of sleep, XFRM.

A waker never decides the state of a tunnel. It only triggers a poll; those for the log also pass
on its lines, which have the reasons. Each waker is optional: without the journal, the bus or the
rights for one, changes are seen later.
"""

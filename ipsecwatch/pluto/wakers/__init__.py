# SPDX-License-Identifier: MIT
"""Events that trigger an early poll: in pluto's log, its socket, its unit, XFRM, or after sleep.

A waker never decides the state of a tunnel. It only triggers a poll. The wakers for the log also
pass on its lines, which have the reasons. Each waker is optional: without the journal, the bus or
the rights that it needs, changes are seen only by the next regular poll.
"""

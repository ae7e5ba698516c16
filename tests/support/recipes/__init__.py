# SPDX-License-Identifier: MIT
"""The recipe for subscribers in docs/dbus.md, as a program for each of three D-Bus libraries.

At each signal, each program prints a line of JSON: the states of all tunnels by name. It prints
null when the service has no owner of its name on the bus.
"""

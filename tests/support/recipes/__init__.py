# SPDX-License-Identifier: MIT
"""The recipe of docs/dbus.md for subscribers, as a program for each of three D-Bus libraries.

Each prints a line of JSON at each change: the states of all tunnels by name, or null where there is
no service.
"""

"""Slots: processes on this machine or on a cluster in which one trial at a time trains."""

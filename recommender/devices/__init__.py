"""Devices that trained models run on: measured latencies, and estimates where no table holds one."""

# SPDX-License-Identifier: Apache-2.0
"""Recordings: frames and trajectories out of rosbags."""

# SPDX-License-Identifier: Apache-2.0
"""Nodes: the doors to ROS 2."""

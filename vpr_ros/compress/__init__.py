# SPDX-License-Identifier: Apache-2.0
"""Smaller networks from larger ones."""

# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The family of models with dynamic kernels, from targets to the assembly in the graph.

A model of it gives kernels and embeddings (kernels.KernelOutput); model.py says what becomes of
them.
"""

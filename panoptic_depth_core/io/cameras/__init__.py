# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""
The camera of an image, by one table of rules for bags, files, folders and the node.

===================  ==============================================================================
what the user says   ``fx``, ``fov`` or a camera file wins over the source (camera_options.py)
which CameraInfo     the topic that was asked for; else a sibling of the image topic by SIBLINGS;
                     else the only one with the frame_id of the image, whose name does not speak of
                     another camera; else none, and those that are there are listed (topics.py)
which message        that of the image's stamp, else the latest one; what the latest says counts,
                     so a camera that is no longer calibrated has no camera
K or P               P where a word of the topics says rectified, else K and the lens; the other
                     one, with a note, where it is zero, the identity, not finite or absurd; none
                     where both are; ``use`` overrules the names (camera_info.py)
lens                 by LENS_MODELS; an unknown model, or a fisheye without coefficients, is a note
size                 region of interest, then binning, then a resize of the whole image; another
                     shape (cropped, turned) is refused, so fx / fy never changes by the shape
frame_id             another one than that of the image is a note
===================  ==============================================================================

Refused for what a person stated (camera files): ConfigError. Refused for a CameraInfo: it counts
as missing, and is counted by its reason.
"""

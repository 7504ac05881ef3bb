#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The node: parameters, inputs, services, lifecycle and reports around a Stream of the core."""

from __future__ import annotations

import difflib
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import rclpy
from numpy.typing import NDArray
from panoptic_depth_core.config import InferenceSettings
from panoptic_depth_core.contract import Task
from panoptic_depth_core.errors import ConfigError, warn_once
from panoptic_depth_core.inference.pipeline import Pipeline
from panoptic_depth_core.io.cameras.topics import find_info_topic, says_rectified
from panoptic_depth_core.io.messages import types
from panoptic_depth_core.io.messages.reading import stamp_of
from panoptic_depth_core.io.sixteen_bits import SixteenBits
from panoptic_depth_core.labels import ClassInfo
from panoptic_depth_core.model_directory import open_model
from panoptic_depth_core.status import StreamState, StreamStatus, Watch
from panoptic_depth_core.streaming import monitoring
from panoptic_depth_core.streaming.cameras import CameraMemory
from panoptic_depth_core.streaming.mountings import MountingMemory
from panoptic_depth_core.streaming.packets import PacketMemory
from panoptic_depth_core.streaming.stream import Job, Stream
from panoptic_depth_core.structures import Frame, PanopticDepth
from panoptic_depth_ros.endpoints import ROS_MESSAGES, Endpoints, profile, require_transport
from panoptic_depth_ros.measured import MeasuredInput
from panoptic_depth_ros.outputs import Outputs
from panoptic_depth_ros.parameters import parameters, settings_from
from panoptic_depth_ros.transforms import Transforms
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import SetBool, Trigger

TICK_S = 0.1
"""Period of the watchdog, of autostart and of looking for reports that are due."""

INFO_TOPIC = '~/input/camera_info'

_LOG = logging.getLogger('panoptic_depth_core.node')
_PACKETS = 30
"""Messages that the middleware keeps of a topic that may be of a video: each one counts."""

_PARAMETERS = {parameter.name: parameter for parameter in parameters()}
_OF_RCLPY = ('use_sim_time', 'start_type_description_service', 'qos_overrides.')


class PanopticDepthNode(LifecycleNode):
    """
    One camera in; labels, depth and distances out.

    :raises ConfigError: a parameter is wrong or unknown.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__('panoptic_depth', **options)
        _declare_parameters(self)
        self._settings = settings_from(self._parameter_values())
        logger = logging.getLogger('panoptic_depth_core')
        logger.addHandler(RosLogHandler(self))
        logger.setLevel(logging.INFO)
        transport = self._settings.image_transport
        self._image_topic = '~/input/image' + ('' if transport == 'raw' else f'/{transport}')
        self._image_name = self.resolve_topic_name(self._image_topic)
        self._image_type = types.IMAGE_TRANSPORTS[transport]
        require_transport(transport)
        self._stream = self._new_stream()
        # They exist while the node is active.
        self._cameras: CameraMemory | None = None
        self._packets = PacketMemory(self._image_name)
        self._inputs: list[Any] = []
        self._sixteen = SixteenBits()
        # Of the latest image on arrival.
        self._stamp_ns, self._age_s = 0, math.nan
        self._classes: tuple[ClassInfo, ...] = ()
        self._tasks: frozenset[Task] = frozenset()
        self._starting = self._settings.autostart
        self._force_build = False
        self.exit_code: int | None = None
        self._endpoints = Endpoints(self, self._count_lost)
        self._tf = Transforms(self, self._settings.camera_axes)
        self._mountings = MountingMemory(self._settings.mounting, self._locate)
        self._outputs = Outputs(self, self._endpoints, self._settings, self._tf)
        self._follow_ground()
        self._measured = MeasuredInput(self, self._endpoints, self._tf,
                                       self._settings.measured_depth)
        self._status = self._endpoints.publisher(
            '~/output/status', types.INFERENCE_STATUS, profile(1, latched=True))
        self._diagnostics = self._endpoints.publisher(
            '/diagnostics', types.DIAGNOSTIC_ARRAY, profile(10))
        self._reported: tuple[StreamState, str] | None = None
        self._reported_s = -math.inf
        self.add_on_set_parameters_callback(self._on_parameters)
        self.create_service(SetBool, '~/enable', self._on_enable)
        self.create_service(Trigger, '~/rebuild_engine', self._on_rebuild)
        # The clock of the node stands still in a paused replay; this one must not.
        self.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to load the model and return; the status shows the progress."""
        self._force_build = self._settings.engine.build_policy == 'force'
        self._stream.start()
        # If it cannot be read, the worker reports it and tries again.
        with suppress(ConfigError):
            self._outputs.advertise(open_model(self._settings.model.path or None).info.tasks)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start processing images; fails until the model is loaded, with the reason in the log."""
        if not self._stream.loaded:
            self.get_logger().error(f'cannot be activated yet: {self._state()[1]}')
            return TransitionCallbackReturn.FAILURE
        self._starting = False
        self._outputs.advertise(self._tasks)
        done = super().on_activate(state)
        info_name = self.resolve_topic_name(INFO_TOPIC)
        cameras = CameraMemory(
            self._settings.camera_info, says_rectified(self._image_name, info_name), info_name)
        self._cameras, self._stamp_ns, self._age_s = cameras, 0, math.nan
        self._sixteen = SixteenBits(self._settings.input_bits)
        self._packets = PacketMemory(self._image_name)
        self._inputs = [
            self._endpoints.subscription(
                INFO_TOPIC, types.CAMERA_INFO, profile(10, best_effort=True), cameras.remember),
            self._endpoints.subscription(
                self._image_topic, self._image_type,
                profile(_PACKETS if self._settings.image_transport != 'raw' else
                        self._settings.stream().capacity, best_effort=True), self._on_image)]
        self._stream.set_active(True)
        return done

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop processing images; the model stays loaded."""
        self._stream.set_active(False)
        while self._inputs:
            self.destroy_subscription(self._inputs.pop())
        self._cameras = None
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the model."""
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything."""
        self._starting = False
        self.on_deactivate(state)
        return self.on_cleanup(state)

    def close(self) -> bool:
        """End all threads; False if one hangs."""
        stream, self._stream = self._stream, self._new_stream()
        return stream.stop()

    def _new_stream(self) -> Stream:
        settings = self._settings
        return Stream(
            self._open_pipeline, self._deliver, stream=settings.stream(),
            inference=settings.inference(), diagnostics=settings.diagnostics,
            now_ns=lambda: self.get_clock().now().nanoseconds,
            input_name=self._image_name)

    def _open_pipeline(self, inference: InferenceSettings, watch: Watch) -> Pipeline:
        """Load the model, in the worker thread."""
        settings = self._settings
        options = settings.backend_options()
        # Force only one build: when the model is loaded again after a failure, the engine exists.
        if self._force_build:
            options['build_policy'] = 'force'
        elif options.get('build_policy') == 'force':
            del options['build_policy']
        self._force_build = False
        pipeline = Pipeline(settings.model.path or None, settings.backend, inference, watch,
                            **options)
        info = pipeline.model.info
        self._classes, self._tasks = info.class_infos(), info.tasks
        return pipeline

    def _deliver(self, frame: Frame, result: PanopticDepth) -> None:
        """Publish the results of a frame, in the sending thread."""
        self._outputs.send(frame, result, self._classes)

    def _follow_ground(self) -> None:
        """Listen to tf if the mounting of the camera comes from there."""
        if self._settings.mounting.ground_frame:
            self._tf.listen()

    def _locate(self, target: str, source: str, stamp_ns: int) -> NDArray[Any]:
        """Where a frame is, in the worker thread."""
        return self._tf.to_camera(target, source, stamp_ns, self._settings.tf_timeout_ms)

    def _parameter_values(self) -> dict[str, Any]:
        return {name: self.get_parameter(name).value for name in _PARAMETERS}

    def _on_parameters(self, changes: Iterable[Parameter]) -> SetParametersResult:
        """Check and apply changed parameters."""
        new = {change.name: change.value for change in changes if change.name in _PARAMETERS}
        if not new:
            return SetParametersResult(successful=True)
        try:
            settings = settings_from({**self._parameter_values(), **new})
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if settings.mounting != self._settings.mounting:
            self._stream.scale.reset()
        if settings.input_bits != self._settings.input_bits:
            self._sixteen = SixteenBits(settings.input_bits)
        self._settings = settings
        self._outputs.configure(settings)
        self._follow_ground()
        self._mountings.settings = settings.mounting
        self._measured.configure(settings.measured_depth)
        if self._cameras is not None:
            self._cameras.settings = settings.camera_info
        self._stream.configure(settings.stream(), settings.inference(), settings.diagnostics)
        return SetParametersResult(successful=True)

    def _tick(self) -> None:
        only_build = self._settings.engine.build_policy == 'only'
        self._stream.watch()
        self._measured.look()
        if self._starting:
            if self._state()[0] == StreamState.UNCONFIGURED:
                self.trigger_configure()
            elif self._stream.loaded and not only_build:
                self.trigger_activate()
        stream, (state, message) = self._stream, self._state()
        if only_build and stream.loaded:
            self.get_logger().info(f'engine {stream.status().engine_key} is built and works')
            self.exit_code = 0
        elif only_build and state == StreamState.ERROR:
            # The reason has been logged.
            self.exit_code = 1
        if ((state, message) != self._reported or time.monotonic() - self._reported_s
                >= self._settings.diagnostics.period_s):
            self._report(replace(stream.status(), state=state, message=message))
        if stream.active:
            self._outputs.send_label_info(self._classes)

    def _report(self, status: StreamStatus) -> None:
        """Publish ~/output/status and /diagnostics."""
        self._reported, self._reported_s = (status.state, status.message), time.monotonic()
        stream = self._stream
        healths = monitoring.diagnostics(
            status, self._settings.diagnostics,
            bad_frame=stream.statistics.bad_frame_reason(),
            age_s=self._age_s if self._cameras else math.nan,
            camera=self._camera_problem(self._cameras) if self._cameras else ('', False),
            qos=self._endpoints.problems(),
            measured=self._measured.health(),
            scale=stream.scale.health(self._settings.diagnostics, self._mountings.problem))
        head = ROS_MESSAGES.header(self.get_clock().now().nanoseconds, '')
        name = self.get_fully_qualified_name().lstrip('/')
        self._status.publish(ROS_MESSAGES.inference_status(head, status))
        self._diagnostics.publish(ROS_MESSAGES.diagnostic_array(
            head, [replace(item, name=f'{name}: {item.name}') for item in healths],
            status.model_id or name))

    def _camera_problem(self, cameras: CameraMemory) -> tuple[str, bool]:
        """See CameraMemory.problem; as long as none has arrived, the topics that are there."""
        problem, skipped = cameras.problem(self._stamp_ns)
        if problem and cameras.is_empty:
            mine = self.resolve_topic_name(INFO_TOPIC)
            own = f'{self.get_fully_qualified_name()}/output/'
            found = find_info_topic(self._image_name, (
                name for name, kinds in self.get_topic_names_and_types()
                if types.CAMERA_INFO in kinds and name != mine and not name.startswith(own)))
            if found.topic:
                problem += f'; {found.topic} is that of the images: remap {INFO_TOPIC} to it'
            elif found.all:
                problem += f'; CameraInfo topics are {", ".join(found.all)}'
        return problem, skipped

    def _state(self) -> tuple[StreamState, str]:
        state, message = self._stream.state
        if state == StreamState.RUNNING and not self._outputs.wanted():
            return state, 'the results have no subscriber: images are not processed'
        return state, message

    def _on_image(self, message: Any) -> None:
        """Only put it into the mailbox: this is the thread of the executor."""
        stream, cameras, stamp_ns = self._stream, self._cameras, stamp_of(message)
        if cameras is None:
            return
        self._stamp_ns = stamp_ns
        self._age_s = (self.get_clock().now().nanoseconds - stamp_ns) / 1e9
        packets = self._packets
        if not self._outputs.wanted():
            stream.statistics.seen()
            packets.forget()
            return
        packets.remember(message)

        def decode() -> Frame:
            image, stamp_ns, frame_id = packets.picture(message, self._sixteen, self._note_input)
            camera, source = cameras.resolve(image.shape[1], image.shape[0], stamp_ns, frame_id)
            return self._measured.add(Frame(
                image, camera, stamp_ns, frame_id, intrinsics_source=source,
                mounting=self._mountings.resolve(frame_id, stamp_ns)))

        stream.put(Job(stamp_ns, decode))

    def _note_input(self, text: str) -> None:
        """Say once what is doubtful in the images, in the worker thread."""
        warn_once(_LOG, f'{self._image_name}: {text}')

    def _count_lost(self, number: int) -> None:
        self._stream.statistics.count('messages_lost', number)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response,
                   ) -> SetBool.Response:
        if not self._inputs:
            response.message = 'the node is not active; activate it first'
            return response
        self._stream.set_active(request.data)
        response.success = True
        response.message = 'images are processed' if request.data else 'images are ignored'
        return response

    def _on_rebuild(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._state()[0] == StreamState.UNCONFIGURED:
            response.message = 'the node is not configured; configure it first'
            return response
        self._force_build = self._settings.builds_engine
        response.success = self._stream.reload()
        what = 'the engine is built' if self._force_build else 'the model is loaded'
        response.message = (f'{what} again; see ~/output/status' if response.success
                            else 'too many workers hang; restart the node')
        return response


class RosLogHandler(logging.Handler):
    """Passes log records of the core to the logger of the node."""

    def __init__(self, node: Node) -> None:
        super().__init__(logging.INFO)
        self._logger: Any = node.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record; rclpy allows one severity per line of code."""
        text = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)


def _declare_parameters(node: Node) -> None:
    """
    Declare every parameter.

    :raises ConfigError: an unknown parameter was given, which rclpy would ignore.
    """
    # rclpy has no public way to list overrides that are not declared.
    for name in getattr(node, '_parameter_overrides', {}):
        if name not in _PARAMETERS and not name.startswith(_OF_RCLPY):
            close = difflib.get_close_matches(name, _PARAMETERS, 1)
            hint = f'did you mean {close[0]}?' if close else 'see doc/ros_interface.md'
            raise ConfigError(f'parameter {name!r} is not known; {hint}')
    for parameter in _PARAMETERS.values():
        # People write 100 for 100.0, and rclpy cannot tell the type of an empty list; the
        # settings check types themselves.
        loose = isinstance(parameter.default, (float, list))
        node.declare_parameter(parameter.name, parameter.default, ParameterDescriptor(
            description=parameter.description, additional_constraints=parameter.kind,
            read_only=parameter.fixed, dynamic_typing=loose))


def main(args: list[str] | None = None) -> int:
    """
    Run the node until it is shut down.

    :returns: exit code: 2 for a wrong parameter, 1 if an engine was to be built only and failed.
    """
    # The handlers of rclpy would destroy the context while it is in use.
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    node = None
    try:
        node = PanopticDepthNode()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        # The timer of the node wakes it up often enough.
        while not ended.is_set() and node.exit_code is None:
            executor.spin_once()
    except ExternalShutdownException:
        pass
    except ConfigError as error:
        print(f'panoptic_depth: {error}', file=sys.stderr)
        return 2
    finally:
        if node is not None and not node.close():
            # A thread that hangs in a runtime would block or crash the exit of the interpreter.
            os._exit(node.exit_code or 0)
        rclpy.try_shutdown()
    return 0 if node is None else node.exit_code or 0


if __name__ == '__main__':
    sys.exit(main())

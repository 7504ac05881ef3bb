#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""The node: parameters, topics, services and lifecycle around a Stream of the core."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any

import rclpy
from panoptic_depth_core.config import InferenceSettings
from panoptic_depth_core.contract import Task
from panoptic_depth_core.errors import ConfigError
from panoptic_depth_core.inference.pipeline import Pipeline
from panoptic_depth_core.labels import ClassInfo
from panoptic_depth_core.model_directory import open_model
from panoptic_depth_core.status import StreamState, StreamStatus, Watch
from panoptic_depth_core.streaming.stream import Stream
from panoptic_depth_core.structures import Frame, PanopticDepth
from panoptic_depth_ros.endpoints import Endpoints
from panoptic_depth_ros.inputs import Inputs, image_topic
from panoptic_depth_ros.outputs import Outputs
from panoptic_depth_ros.parameters import declare_parameters, on_change
from panoptic_depth_ros.reports import Reports, RosLogHandler
from panoptic_depth_ros.settings import NodeSettings
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import SetBool, Trigger

TICK_S = 0.1
"""How often the watchdog looks, what is due is sent and autostart tries again."""


class PanopticDepthNode(LifecycleNode):
    """
    One camera in; labels, depth and distances out.

    :raises ConfigError: when a parameter is wrong.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__('panoptic_depth', **options)
        self._settings = declare_parameters(self)
        self._log_handler = RosLogHandler(self)
        logging.getLogger('panoptic_depth_core').addHandler(self._log_handler)
        logging.getLogger('panoptic_depth_core').setLevel(logging.INFO)
        self._stream: Stream | None = None
        self._inputs: Inputs | None = None
        self._classes: tuple[ClassInfo, ...] = ()
        self._tasks: frozenset[Task] = frozenset()
        self._starting = self._settings.autostart
        self._build_anew = False
        self.exit_code: int | None = None
        self._endpoints = Endpoints(self, self._count_lost)
        self._outputs = Outputs(self, self._endpoints, self._settings)
        self._reports = Reports(self, self._endpoints)
        on_change(self, self._apply)
        self.create_service(SetBool, '~/enable', self._on_enable)
        self.create_service(Trigger, '~/rebuild_engine', self._on_rebuild)
        # The clock of the node stands still in a paused replay; this one must not.
        self.create_timer(TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to load the model and return; see the status for how it goes."""
        self._build_anew = self._settings.engine.build_policy == 'force'
        self._stream = Stream(
            self._open_pipeline, self._deliver, stream=self._settings.stream(),
            inference=self._settings.inference(), diagnostics=self._settings.diagnostics,
            now_ns=lambda: self.get_clock().now().nanoseconds,
            input_name=self.resolve_topic_name(image_topic(self._settings)))
        self._stream.start()
        # Where it cannot be read, the worker says so and tries again.
        with suppress(ConfigError):
            self._outputs.advertise(open_model(self._settings.model.path or None).info.tasks)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take images; fails, with the reason in the log, until the model is loaded."""
        if self._stream is None or not self._stream.loaded:
            self.get_logger().error(f'cannot be activated yet: {self._state()[1]}')
            return TransitionCallbackReturn.FAILURE
        self._starting = False
        self._outputs.advertise(self._tasks)
        done = super().on_activate(state)
        self._inputs = Inputs(self, self._endpoints, self._settings, self._stream,
                              lambda: bool(self._outputs.wanted()))
        self._stream.set_active(True)
        return done

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take no images any more; the model stays loaded."""
        if self._stream is not None:
            self._stream.set_active(False)
        if self._inputs is not None:
            self._inputs.close()
            self._inputs = None
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give the model back."""
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back."""
        self._starting = False
        self.on_deactivate(state)
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> bool:
        """End all threads; False where one hangs."""
        stream, self._stream = self._stream, None
        return stream is None or stream.stop()

    def _open_pipeline(self, inference: InferenceSettings, watch: Watch) -> Pipeline:
        """Load the model, in the worker thread."""
        settings = self._settings
        options = settings.backend_options()
        # An engine is built anew once: what a failing runtime is loaded with next is there.
        if self._build_anew:
            options['build_policy'] = 'force'
        elif options.get('build_policy') == 'force':
            del options['build_policy']
        self._build_anew = False
        pipeline = Pipeline(settings.model.path or None, settings.backend, inference, watch,
                            **options)
        info = pipeline.model.info
        self._classes, self._tasks = info.class_infos(), info.tasks
        return pipeline

    def _deliver(self, frame: Frame, result: PanopticDepth) -> None:
        """Send the results of a frame, in the sending thread."""
        self._outputs.send(frame, result, self._classes)

    def _apply(self, settings: NodeSettings) -> None:
        """Take changed parameters; they have been checked."""
        self._settings = settings
        self._outputs.configure(settings)
        if self._inputs is not None:
            self._inputs.configure(settings)
        if self._stream is not None:
            self._stream.configure(settings.stream(), settings.inference(), settings.diagnostics)

    def _tick(self) -> None:
        if self._stream is not None:
            self._stream.watch()
        if self._starting:
            if self._stream is None:
                self.trigger_configure()
            elif self._stream.loaded and not self._only_builds:
                self.trigger_activate()
        stream, state = self._stream, self._state()
        if self._only_builds and stream is not None:
            self._end_when_built(stream, state[0])
        if self._reports.due(state, self._settings.diagnostics.period_s):
            self._reports.send(
                replace(stream.status() if stream else StreamStatus(state[0]),
                        state=state[0], message=state[1]),
                self._settings.diagnostics, self._inputs,
                stream.statistics.bad_frame_reason() if stream else '')
        if stream is not None and stream.active:
            self._outputs.send_label_info(self._classes)

    @property
    def _only_builds(self) -> bool:
        return self._settings.engine.build_policy == 'only'

    def _end_when_built(self, stream: Stream, state: StreamState) -> None:
        """Set the exit code; why it failed has been logged."""
        if stream.loaded:
            self.get_logger().info(f'engine {stream.status().engine_key} is there and works')
            self.exit_code = 0
        elif state == StreamState.ERROR:
            self.exit_code = 1

    def _state(self) -> tuple[StreamState, str]:
        if self._stream is None:
            return StreamState.UNCONFIGURED, ''
        state, message = self._stream.state
        if state == StreamState.RUNNING and not self._outputs.wanted():
            return state, 'nobody listens to the results: images are not run'
        return state, message

    def _count_lost(self, number: int) -> None:
        if self._stream is not None:
            self._stream.statistics.count('messages_lost', number)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response,
                   ) -> SetBool.Response:
        if self._stream is None or self._inputs is None:
            response.message = 'the node is not active; activate it first'
            return response
        self._stream.set_active(request.data)
        response.success = True
        response.message = 'images are taken' if request.data else 'images are ignored'
        return response

    def _on_rebuild(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._stream is None:
            response.message = 'the node is not configured; configure it first'
            return response
        self._build_anew = self._settings.builds_engine
        response.success = self._stream.reload()
        what = 'the engine is built' if self._build_anew else 'the model is loaded'
        response.message = (f'{what} anew; see ~/output/status' if response.success
                            else 'too many workers hang; restart the node')
        return response


def main(args: list[str] | None = None) -> int:
    """
    Run the node until it is told to end.

    :returns: exit code: 2 when a parameter is wrong, 1 when an engine was to be built only, and
        could not be.
    """
    # rclpy's own handlers take the context away at once, whatever is being done with it.
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    node = None
    try:
        node = PanopticDepthNode()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        # The timers of the node wake it up often enough to notice.
        while not ended.is_set() and node.exit_code is None:
            executor.spin_once()
    except ExternalShutdownException:
        pass
    except ConfigError as error:
        print(f'panoptic_depth: {error}', file=sys.stderr)
        return 2
    finally:
        if node is not None and not node.close():
            # A thread that hangs inside of a runtime would hold up, or crash, the interpreter.
            os._exit(node.exit_code or 0)
        rclpy.try_shutdown()
    return 0 if node is None else node.exit_code or 0


if __name__ == '__main__':
    sys.exit(main())

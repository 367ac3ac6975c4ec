"""What the machines that tell an answer take: the turn's events, and calls made of its words."""

from howler.task.v1.task_event_pb2 import TaskEvent

from facade.openai.client_tools.call import ClientCall

Heard = TaskEvent | ClientCall

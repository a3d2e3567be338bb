"""Tasks: data files of the field's formats, and named generators."""

from hswarm.tasks.load import TABLE as TABLE
from hswarm.tasks.load import TaskSettings as TaskSettings
from hswarm.tasks.load import load_task as load_task

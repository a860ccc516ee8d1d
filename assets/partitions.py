"""The partitions of the inference assets: one scene, one partition. Tiles never are: a scene has over two thousand."""

from dagster import DynamicPartitionsDefinition

scenes = DynamicPartitionsDefinition(name="scenes")

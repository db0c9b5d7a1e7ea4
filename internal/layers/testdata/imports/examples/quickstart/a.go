package main

import (
	_ "github.com/mesokit/mesokit/frameworks/kafka"
	_ "github.com/mesokit/mesokit/plugins"
	_ "github.com/mesokit/mesokit/scheduler/mesostest"
)

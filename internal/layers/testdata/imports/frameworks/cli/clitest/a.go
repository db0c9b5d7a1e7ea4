package clitest

import _ "github.com/mesokit/mesokit/scheduler/mesostest"

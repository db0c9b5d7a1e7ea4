package cassandra

import (
	_ "github.com/mesokit/mesokit/examples/quickstart"
	_ "github.com/mesokit/mesokit/frameworks/cassandra/ring"
)

package scheduler

import "sync"

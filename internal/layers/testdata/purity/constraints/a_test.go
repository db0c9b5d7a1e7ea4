package constraints

import "os"

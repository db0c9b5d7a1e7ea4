package constraints

import . "time"

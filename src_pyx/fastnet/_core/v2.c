/* The core at one level of vector instructions: setup.py chooses the compiler's flags. */
#define PyInit_engine PyInit_v2
#include "engine.c"

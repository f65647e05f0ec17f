/* The core at one level of vector instructions: setup.py chooses the compiler's flags. */
#define PyInit_core PyInit_v3
#include "core.c"

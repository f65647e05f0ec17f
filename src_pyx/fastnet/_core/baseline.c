/* The core at one level of vector instructions: setup.py chooses the compiler's flags. */
#define PyInit_core PyInit_baseline
#include "core.c"

/* SPDX-License-Identifier: Apache-2.0 */
/* One controller, so that `make arm` shows the RAM that a board sets aside. */
#include "../controller.h"

struct ei_controller ei_one_controller;

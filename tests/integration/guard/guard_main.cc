#include "fs/guard/guardian.h"

int main() {
  return holdfast::fs::guard::be_guardian();
}

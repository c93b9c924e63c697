#pragma once
/// A move-only callable with room for a few captures: most events allocate nothing.

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace holdfast::sim {

class Action {
 public:
  Action() = default;
  template <class F, class = std::enable_if_t<!std::is_same_v<std::decay_t<F>, Action>>>
  Action(F&& function) {  // NOLINT(google-explicit-constructor): a lambda is an action
    using Callable = std::decay_t<F>;
    static_assert(sizeof(Callable) <= kRoom && std::is_nothrow_move_constructible_v<Callable>,
                  "capture less: events are many");
    ::new (static_cast<void*>(room_)) Callable(std::forward<F>(function));
    table_ = &kTable<Callable>;
  }
  Action(Action&& other) noexcept { take(other); }
  Action& operator=(Action&& other) noexcept {
    if (this != &other) {
      clear();
      take(other);
    }
    return *this;
  }
  Action(const Action&) = delete;
  Action& operator=(const Action&) = delete;
  ~Action() { clear(); }

  void operator()() { table_->call(room_); }

 private:
  static constexpr std::size_t kRoom = 96;
  struct Table {
    void (*call)(void*);
    void (*move)(void* to, void* from);
    void (*destroy)(void*);
  };
  template <class C>
  static constexpr Table kTable{[](void* c) { (*static_cast<C*>(c))(); },
                                [](void* to, void* from) {
                                  ::new (to) C(std::move(*static_cast<C*>(from)));
                                  static_cast<C*>(from)->~C();
                                },
                                [](void* c) { static_cast<C*>(c)->~C(); }};

  void take(Action& other) {
    table_ = std::exchange(other.table_, nullptr);
    if (table_ != nullptr) table_->move(room_, other.room_);
  }
  void clear() {
    if (table_ != nullptr) std::exchange(table_, nullptr)->destroy(room_);
  }

  const Table* table_ = nullptr;
  alignas(std::max_align_t) std::byte room_[kRoom];
};

}  // namespace holdfast::sim

#include "strand.hpp"

namespace strata::addon {

// Has the thread as long as there are tasks.
class Strand::Drain final : public Task {
 public:
  explicit Drain(std::shared_ptr<Strand> strand) : strand_(std::move(strand)) {}

  void execute() override {
    work([](Task& task) { task.execute(); });
  }
  void fail(const Status& status) override {
    work([&status](Task& task) { task.fail(status); });
  }
  void settle(Napi::Env /*env*/) override {}

 private:
  template <class Work>
  void work(Work work) {
    std::unique_lock lock(strand_->mutex_);
    while (!strand_->closed_ && !strand_->waiting_.empty()) {
      std::unique_ptr<Task> task = std::move(strand_->waiting_.front());
      strand_->waiting_.pop_front();
      strand_->busy_ = true;
      lock.unlock();
      work(*task);
      strand_->completions_->post(std::move(task));
      lock.lock();
      strand_->busy_ = false;
      strand_->idle_.notify_all();
    }
    strand_->draining_ = false;
  }

  std::shared_ptr<Strand> strand_;
};

void Strand::run(std::unique_ptr<Task> task) {
  completions_->expect();
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(task));
    if (draining_) return;
    draining_ = true;
  }
  threads_.run(std::make_unique<Drain>(shared_from_this()));
}

void Strand::close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  idle_.wait(lock, [this] { return !busy_; });
}

}  // namespace strata::addon

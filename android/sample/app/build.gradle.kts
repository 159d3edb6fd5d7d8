plugins {
    alias(libs.plugins.android)
    alias(libs.plugins.kotlin)
}

// The trained models that the tests use too.
val models = tasks.register<Copy>("models") {
    from("../../../tests/vectors") { include("digits.whit", "dates.whit", "triple.whit") }
    into(layout.buildDirectory.dir("models"))
}

android {
    namespace = "dev.whit.sample"
    compileSdk = 36
    defaultConfig {
        applicationId = "dev.whit.sample"
        minSdk = 21
        targetSdk = 36
        versionCode = 1
        versionName = "0.1.0"
    }
    buildTypes { release { isMinifyEnabled = true } }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    androidResources { noCompress += "whit" } // mapped, not unpacked
    sourceSets["main"].assets.srcDir(layout.buildDirectory.dir("models"))
    sourceSets["main"].kotlin.srcDir("../../kotlin") // Whit.kt, WhitCoroutines.kt
}

kotlin { compilerOptions { jvmTarget.set(org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_1_8) } }

tasks.named("preBuild") { dependsOn(models) }

dependencies {
    implementation(libs.whit)
    implementation(libs.coroutines)
}
